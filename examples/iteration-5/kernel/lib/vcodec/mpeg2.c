#include <media/vcodec.h>

#define BLOCK		8
#define QUANT		8
#define COEF_BITS	12

/* round(4096 * c(u) / 2 * cos((2x + 1) * u * pi / 16)), c(0) = sqrt(1/2), else 1 */
static const s16 basis[BLOCK][BLOCK] = {
	{ 1448,  1448,  1448,  1448,  1448,  1448,  1448,  1448 },
	{ 2009,  1703,  1138,   400,  -400, -1138, -1703, -2009 },
	{ 1892,   784,  -784, -1892, -1892,  -784,   784,  1892 },
	{ 1703,  -400, -2009, -1138,  1138,  2009,   400, -1703 },
	{ 1448, -1448, -1448,  1448,  1448, -1448, -1448,  1448 },
	{ 1138, -2009,   400,  1703, -1703,  -400,  2009, -1138 },
	{  784, -1892,  1892,  -784,  -784,  1892, -1892,   784 },
	{  400, -1138,  1703, -2009,  2009, -1703,  1138,  -400 },
};

/* Rows, then columns. The standard lets an IDCT differ by a little, and they do. */
static void idct(const s16 *coef, u8 *pix, unsigned int stride, bool truncate)
{
	s32 half = truncate ? 0 : 1 << (COEF_BITS - 1);
	s32 rows[BLOCK][BLOCK];
	unsigned int x, y, u;

	for (y = 0; y < BLOCK; y++) {
		for (x = 0; x < BLOCK; x++) {
			s32 sum = half;

			for (u = 0; u < BLOCK; u++)
				sum += coef[y * BLOCK + u] * basis[u][x];
			rows[y][x] = sum >> COEF_BITS;
		}
	}
	for (y = 0; y < BLOCK; y++) {
		for (x = 0; x < BLOCK; x++) {
			s32 sum = half;

			for (u = 0; u < BLOCK; u++)
				sum += rows[u][x] * basis[u][y];
			sum = (sum >> COEF_BITS) + 128;
			pix[y * stride + x] = sum < 0 ? 0 : sum > 255 ? 255 : sum;
		}
	}
}

/* Of each 8x8 block: how many coefficients, then that many pairs of position and level. */
static int mpeg2_decode(const struct vcodec_frame *f)
{
	unsigned int x, y, n;
	size_t in = 0;

	for (y = 0; y < f->height; y += BLOCK) {
		for (x = 0; x < f->width; x += BLOCK) {
			s16 coef[BLOCK * BLOCK] = { 0 };

			if (in >= f->size)
				return -EINVAL;
			n = f->data[in++];
			if (n > BLOCK * BLOCK || n * 2 > f->size - in)
				return -EINVAL;
			for (; n; n--, in += 2) {
				if (f->data[in] >= BLOCK * BLOCK)
					return -EINVAL;
				coef[f->data[in]] = (int8_t)f->data[in + 1] * QUANT;
			}
			idct(coef, f->pix + y * f->width + x, f->width, f->truncate);
		}
	}
	return in == f->size ? 0 : -EINVAL;
}

const struct vcodec vcodec_mpeg2 = {
	.name = "mpeg2",
	.magic = "tMP2",
	.decode = mpeg2_decode,
};
