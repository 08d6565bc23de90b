#include <media/vcodec.h>

/* n bits, most significant first. Past the end they are zero and overrun is set. */
u32 get_bits(struct bit_reader *br, unsigned int n)
{
	u32 value = 0;

	while (n--) {
		if (br->pos >= br->size * 8) {
			br->overrun = true;
			return 0;
		}
		value = value << 1 | (br->data[br->pos / 8] >> (7 - br->pos % 8) & 1);
		br->pos++;
	}
	return value;
}

/* A signed Exp-Golomb code. */
s32 get_se(struct bit_reader *br)
{
	unsigned int zeros = 0;
	s32 code;

	while (!get_bits(br, 1)) {
		if (br->overrun || ++zeros > 15) {
			br->overrun = true;
			return 0;
		}
	}
	code = (1 << zeros) - 1 + get_bits(br, zeros);
	return code & 1 ? (code + 1) / 2 : -(code / 2);
}

/* All of it was read, and no more; up to seven bits pad the last byte. */
bool bits_consumed(const struct bit_reader *br)
{
	return !br->overrun && (br->pos + 7) / 8 == br->size;
}
