"""The golden that a reference's first argument names, the few words of arithmetic that references share, and the comparison
at their end. FOLDER holds config.json, model.safetensors (bf16), reference.json and logits.f32."""
import array, json, math, struct, sys

folder = sys.argv[1]
config = json.load(open(folder + '/config.json'))
reference = json.load(open(folder + '/reference.json'))
with open(folder + '/model.safetensors', 'rb') as file:
    header = json.loads(file.read(struct.unpack('<Q', file.read(8))[0]))
    data = file.read()


def flat(name):
    """A tensor's numbers."""
    first, last = header[name]['data_offsets']
    return [struct.unpack('<f', b'\0\0' + data[i:i + 2])[0] for i in range(first, last, 2)]


def product(w, x):
    return [sum(a * b for a, b in zip(row, x)) for row in w]


def plus(x, y):
    return [a + b for a, b in zip(x, y)]


def half(x):
    """What fp16 keeps of a number."""
    return struct.unpack('<e', struct.pack('<e', x))[0]


def distance(x, y):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y)) / sum(b * b for b in y))


def compare(logits):
    """logits(rounding of keys and values): says how far they are from the golden's, and writes the rounded ones to FILE."""
    given = array.array('f', open(folder + '/logits.f32', 'rb').read())
    rounded = logits(half)
    print(f'{folder}: {distance(logits(lambda x: x), given):.1e} from logits.f32, with a cache in fp16 '
          f'{distance(rounded, given):.1e}')
    if len(sys.argv) > 3:
        open(sys.argv[3], 'wb').write(array.array('f', rounded).tobytes())
