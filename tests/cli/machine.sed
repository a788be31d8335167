# takes out what an advice says about the machine that runs the test
/^  Machine/,/^  Memory/{/^  Memory/!d}
/Warning: this CPU/,/^  weights  /{/^  weights  /!d}
