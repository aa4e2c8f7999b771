#!/usr/bin/env python3
"""Asks ggml how it decodes and encodes tensor rows.

usage: record.py LIB decode SEED BLOCKS TYPE   raw float32 of BLOCKS random blocks, to stdout
       record.py LIB encode TYPE ROWLEN        float32 rows from stdin, ggml's blocks to stdout
       record.py LIB vectors > decode.txt      what decode_test.go compares with
LIB is the path of llama.cpp's libggml-base.so (v0.5.0), the plain C reference.

Random blocks are SHAKE-256 of "TYPE SEED", so that Python and Go make the same
ones. TYPE is ggml's number and name, as in 12:Q4_K.
"""
import ctypes, hashlib, struct, sys

class Traits(ctypes.Structure):  # struct ggml_type_traits, ggml.h
    _fields_ = [("name", ctypes.c_char_p), ("blck_size", ctypes.c_int64), ("blck_size_interleave", ctypes.c_int64),
                ("type_size", ctypes.c_size_t), ("is_quantized", ctypes.c_bool),
                ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
                ("from_float_ref", ctypes.c_void_p)]

TYPES = {1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K",
         14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S",
         22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4",
         41: "Q1_0", 42: "Q2_0"}
SEED, BLOCKS = 1, 2048

lib = ctypes.CDLL(sys.argv[1])
lib.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
lib.ggml_quantize_chunk.restype = ctypes.c_size_t
lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                    ctypes.c_int64, ctypes.c_void_p]


def decode(number, seed, blocks):
    tr = lib.ggml_get_type_traits(number).contents
    name = TYPES[number]
    src = hashlib.shake_256(f"{name} {seed}".encode()).digest(blocks * tr.type_size)
    n = blocks * tr.blck_size
    dst = (ctypes.c_float * n)()
    to_float = tr.to_float
    if name == "Q8_K":  # a type for activations, without to_float in the table
        to_float = lib.dequantize_row_q8_K
    to_float(ctypes.cast(src, ctypes.c_void_p), ctypes.cast(dst, ctypes.c_void_p), ctypes.c_int64(n))
    return bytes(dst)


def encode(number, cols, rows):
    tr = lib.ggml_get_type_traits(number).contents
    n = len(rows) // 4 // cols
    dst = ctypes.create_string_buffer(n * cols // tr.blck_size * tr.type_size)
    lib.ggml_quantize_chunk(number, ctypes.cast(rows, ctypes.c_void_p), dst, 0, n, cols, None)
    return dst.raw


def canonical(raw):
    """All NaNs to one, as which NaN comes out of a product is the processor's choice."""
    words = struct.unpack(f"<{len(raw) // 4}I", raw)
    return struct.pack(f"<{len(words)}I", *(0x7FC00000 if w & 0x7FFFFFFF > 0x7F800000 else w for w in words))


if sys.argv[2] == "decode":
    number = int(sys.argv[5].split(":")[0])
    sys.stdout.buffer.write(decode(number, sys.argv[3], int(sys.argv[4])))
elif sys.argv[2] == "encode":
    number = int(sys.argv[3].split(":")[0])
    sys.stdout.buffer.write(encode(number, int(sys.argv[4]), sys.stdin.buffer.read()))
elif sys.argv[2] == "vectors":
    print("# Recorded by testdata/record.py LIB vectors from libggml-base.so of llama.cpp v0.5.0.")
    print(f"# type, blocks (SHAKE-256 of 'type {SEED}'), SHA-256 of the float32s (NaNs made 7fc00000), the first 32 of them")
    for number, name in TYPES.items():
        out = canonical(decode(number, SEED, BLOCKS))
        first = " ".join(f"{w:08x}" for w in struct.unpack("<32I", out[:128]))
        print(name, BLOCKS, hashlib.sha256(out).hexdigest(), first)
else:
    sys.exit(__doc__)
