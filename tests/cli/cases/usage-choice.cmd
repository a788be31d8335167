# a choice is written out, in capitals or not
for word in of OFFF o auto,on "" ; do mlxcel inspect examples/llama-3.1-8b/config.json --kv-center "$word"; echo $?; done
