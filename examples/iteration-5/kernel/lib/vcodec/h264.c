#include <media/vcodec.h>

/*
 * One bit: 1 for a frame that is predicted from the one before, 0 for one
 * predicted from the pixel to the left. Then a residual a pixel, Exp-Golomb.
 */
static int h264_decode(const struct vcodec_frame *f)
{
	struct bit_reader br = { .data = f->data, .size = f->size };
	bool inter = get_bits(&br, 1);
	unsigned int i;

	for (i = 0; i < f->width * f->height; i++) {
		u8 pred = inter ? f->ref[i] : i ? f->pix[i - 1] : 128;

		f->pix[i] = pred + get_se(&br);
	}
	return bits_consumed(&br) ? 0 : -EINVAL;
}

const struct vcodec vcodec_h264 = {
	.name = "h264",
	.magic = "tH64",
	.decode = h264_decode,
};
