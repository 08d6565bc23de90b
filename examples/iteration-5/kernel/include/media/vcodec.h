/*
 * Five toy codecs, one for each row of the sweep. lib/vcodec knows the
 * bitstreams; the hardware's model and the software decoder both use it.
 * A frame is 8-bit luma, and both sides of it are multiples of 16.
 */
#ifndef _MEDIA_VCODEC_H
#define _MEDIA_VCODEC_H

#include <linux/kernel.h>

/**
 * struct vcodec_frame - one frame to decode.
 * @data:	its bitstream.
 * @size:	of @data, in bytes.
 * @width:	in pixels.
 * @height:	in pixels.
 * @ref:	the frame before; all zero for the first.
 * @pix:	where the pixels go.
 * @truncate:	MPEG-2: the IDCT cuts off instead of rounding, as the hardware does.
 */
struct vcodec_frame {
	const u8 *data;
	size_t size;
	unsigned int width;
	unsigned int height;
	const u8 *ref;
	u8 *pix;
	bool truncate;
};

/* decode() gives 0, or -EINVAL for a broken bitstream. */
struct vcodec {
	const char *name;
	const char *magic;
	int (*decode)(const struct vcodec_frame *f);
};

extern const struct vcodec vcodec_h264, vcodec_hevc, vcodec_vp9;
extern const struct vcodec vcodec_mpeg2, vcodec_vp8;

struct bit_reader {
	const u8 *data;
	size_t size;
	size_t pos;
	bool overrun;
};

u32 get_bits(struct bit_reader *br, unsigned int n);
s32 get_se(struct bit_reader *br);
bool bits_consumed(const struct bit_reader *br);

#endif
