#include <media/vcodec.h>

/* Runs: how many pixels stay, how many change, and what to XOR to those that change. */
static int vp9_decode(const struct vcodec_frame *f)
{
	size_t pixels = f->width * f->height, at = 0, in = 0;

	memcpy(f->pix, f->ref, pixels);
	while (in + 2 <= f->size) {
		size_t stay = f->data[in++], change = f->data[in++];

		if (stay + change > pixels - at || change > f->size - in)
			return -EINVAL;
		at += stay;
		while (change--)
			f->pix[at++] ^= f->data[in++];
	}
	return at == pixels && in == f->size ? 0 : -EINVAL;
}

const struct vcodec vcodec_vp9 = {
	.name = "vp9",
	.magic = "tVP9",
	.decode = vp9_decode,
};
