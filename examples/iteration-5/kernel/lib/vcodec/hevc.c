#include <media/vcodec.h>

#define CTU	16

/* A quadtree: 1 splits; 0 is a flat block, coded as the difference from the last one. */
static void hevc_block(struct bit_reader *br, const struct vcodec_frame *f, u8 *last,
		       unsigned int x, unsigned int y, unsigned int size)
{
	unsigned int i, half = size / 2;

	if (br->overrun)
		return;
	if (size > 1 && get_bits(br, 1)) {
		hevc_block(br, f, last, x, y, half);
		hevc_block(br, f, last, x + half, y, half);
		hevc_block(br, f, last, x, y + half, half);
		hevc_block(br, f, last, x + half, y + half, half);
		return;
	}
	*last += get_se(br);
	for (i = 0; i < size; i++)
		memset(f->pix + (y + i) * f->width + x, *last, size);
}

/* Of each coding tree unit one bit: 1 copies it from the frame before. */
static int hevc_decode(const struct vcodec_frame *f)
{
	struct bit_reader br = { .data = f->data, .size = f->size };
	unsigned int x, y, i;
	u8 last = 128;

	for (y = 0; y < f->height; y += CTU) {
		for (x = 0; x < f->width; x += CTU) {
			if (!get_bits(&br, 1)) {
				hevc_block(&br, f, &last, x, y, CTU);
				continue;
			}
			for (i = y; i < y + CTU; i++)
				memcpy(f->pix + i * f->width + x,
				       f->ref + i * f->width + x, CTU);
		}
	}
	return bits_consumed(&br) ? 0 : -EINVAL;
}

const struct vcodec vcodec_hevc = {
	.name = "hevc",
	.magic = "tEVC",
	.decode = hevc_decode,
};
