#!/usr/bin/env python3
"""Makes the five clips of the sweep: toy bitstreams, as kernel/lib/vcodec reads them.

The same script makes the same bytes. It writes them beside itself.
"""

import math
import struct
from pathlib import Path

WIDTH, HEIGHT, FRAMES = 64, 48, 6
PIXELS = WIDTH * HEIGHT


def scene(seed, t):
    """Frame t: a slope, a disc that moves, and a little texture, other for each seed."""
    cx, cy, r = 12 + 7 * t, 16 + 3 * seed + t, 7 + seed
    pix = []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            value = 40 + 10 * seed + x + y // 2
            if (x - cx) ** 2 + (y - cy) ** 2 < r * r:
                value = 230 - 12 * seed - (x - cx) ** 2 // 4
            elif (x * (3 + seed) + y * 5) % 23 == 0:
                value += 6
            pix.append(value)
    return pix


class Bits:
    def __init__(self):
        self.bits = []

    def put(self, value, n):
        self.bits += [value >> i & 1 for i in reversed(range(n))]

    def put_se(self, value):
        code = 2 * value - 1 if value > 0 else -2 * value
        length = (code + 1).bit_length()
        self.put(code + 1, 2 * length - 1)

    def bytes(self):
        padded = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(
            sum(bit << 7 - i for i, bit in enumerate(padded[at : at + 8])) for at in range(0, len(padded), 8)
        )


def h264(frame, ref, first):
    out = Bits()
    out.put(0 if first else 1, 1)
    for i, value in enumerate(frame):
        pred = ref[i] if not first else frame[i - 1] if i else 128
        out.put_se(value - pred)
    return out.bytes(), frame


def hevc(frame, ref, first):
    out, pix, last = Bits(), list(ref), 128

    def block(x, y, size):
        nonlocal last
        at = [(y + j) * WIDTH + x + i for j in range(size) for i in range(size)]
        values = [frame[i] for i in at]
        if size > 1:
            flat = max(values) - min(values) <= 3
            out.put(0 if flat else 1, 1)
            if not flat:
                for dy in (0, size // 2):
                    for dx in (0, size // 2):
                        block(x + dx, y + dy, size // 2)
                return
        value = sum(values) // len(values)
        out.put_se(value - last)
        last = value
        for i in at:
            pix[i] = value

    for y in range(0, HEIGHT, 16):
        for x in range(0, WIDTH, 16):
            at = [(y + j) * WIDTH + x + i for j in range(16) for i in range(16)]
            same = not first and all(abs(frame[i] - ref[i]) <= 3 for i in at)
            out.put(1 if same else 0, 1)
            if not same:
                block(x, y, 16)
    return out.bytes(), pix


def vp9(frame, ref, first):
    xor = [a ^ b for a, b in zip(frame, ref)]
    out, at = bytearray(), 0
    while at < PIXELS:
        stay = at
        while stay < PIXELS and stay - at < 255 and not xor[stay]:
            stay += 1
        end = stay
        while end < PIXELS and end - stay < 255 and xor[end]:
            end += 1
        out += bytes([stay - at, end - stay]) + bytes(xor[stay:end])
        at = end
    return bytes(out), frame


def mpeg2(frame, ref, first):
    out = bytearray()
    for y in range(0, HEIGHT, 8):
        for x in range(0, WIDTH, 8):
            pairs = []
            for v in range(8):
                for u in range(8):
                    total = 0.0
                    for j in range(8):
                        for i in range(8):
                            total += (
                                (frame[(y + j) * WIDTH + x + i] - 128)
                                * math.cos((2 * i + 1) * u * math.pi / 16)
                                * math.cos((2 * j + 1) * v * math.pi / 16)
                            )
                    scale = (math.sqrt(0.5) if u == 0 else 1) * (math.sqrt(0.5) if v == 0 else 1)
                    level = max(-127, min(127, round(total * scale / 4 / 8)))
                    if level:
                        pairs += [v * 8 + u, level % 256]
            out += bytes([len(pairs) // 2]) + bytes(pairs)
    return bytes(out), frame


class BoolEncoder:
    """The boolean entropy encoder of RFC 6386, section 7.3."""

    def __init__(self):
        self.out, self.range, self.bottom, self.bit_count = bytearray(), 255, 0, 24
        self.shifts = 0

    def put(self, probability, bit):
        split = 1 + ((self.range - 1) * probability >> 8)
        if bit:
            self.bottom += split
            self.range -= split
        else:
            self.range = split
        while self.range < 128:
            self.range <<= 1
            self.shifts += 1
            self.shift()

    def shift(self):
        if self.bottom >> 31:
            self.carry()
        self.bottom = self.bottom << 1 & 0xFFFFFFFF
        self.bit_count -= 1
        if not self.bit_count:
            self.out.append(self.bottom >> 24)
            self.bottom &= 0xFFFFFF
            self.bit_count = 8

    def carry(self):
        i = len(self.out) - 1
        while self.out[i] == 255:
            self.out[i] = 0
            i -= 1
        self.out[i] += 1

    def bytes(self):
        shifts = self.shifts
        for _ in range(32):
            self.shift()
        # Exactly what the decoder takes in: two bytes, and one for every eight shifts.
        size = 2 + shifts // 8
        return bytes(self.out[:size]).ljust(size, b'\0')


def vp8(frame, ref, first):
    out, probability = BoolEncoder(), [128] * 256
    out.put(128, 0 if first else 1)
    for i, value in enumerate(frame):
        pred = ref[i] if not first else 128 if i < WIDTH else frame[i - WIDTH]
        node = 1
        for shift in reversed(range(8)):
            bit = (value - pred) % 256 >> shift & 1
            p = probability[node]
            out.put(p, bit)
            probability[node] = p - (p >> 4) if bit else p + (256 - p >> 4)
            node = node << 1 | bit
    return out.bytes(), frame


CLIPS = [
    ('bbb_1080p30_h264.mp4', b'tH64', h264),
    ('bbb_720p10s_hevc.mp4', b'tEVC', hevc),
    ('bbb_720p10s_vp9.webm', b'tVP9', vp9),
    ('bbb_720p10s_mpeg2.ts', b'tMP2', mpeg2),
    ('bbb_720p10s_vp8.webm', b'tVP8', vp8),
]

for seed, (name, magic, encode) in enumerate(CLIPS):
    clip = bytearray(magic + struct.pack('<4H', WIDTH, HEIGHT, FRAMES, 0))
    ref = [0] * PIXELS
    for t in range(FRAMES):
        data, ref = encode(scene(seed, t), ref, t == 0)
        clip += struct.pack('<I', len(data)) + data
    (Path(__file__).parent / name).write_bytes(clip)
    print(name, len(clip))
