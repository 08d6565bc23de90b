/*
 * The decoder block of a SoC, as a driver sees it: it is given a bitstream
 * and a buffer, writes the frame row of macroblocks by row, and interrupts.
 */
#ifndef _MEDIA_CODEC_HW_H
#define _MEDIA_CODEC_HW_H

#include <media/v4l2-mem2mem.h>
#include <media/vcodec.h>

#define CODEC_HW_MB	16

/**
 * struct codec_hw - a decoder at work.
 * @frame:	what to decode; its pixels are the block's own memory.
 * @codec:	how.
 * @row_ticks:	how long a row of macroblocks takes.
 * @dst:	where the rows go.
 * @irq:	called when the frame is done, or is found to be broken.
 * @priv:	for @irq.
 */
struct codec_hw {
	struct vcodec_frame frame;
	const struct vcodec *codec;
	unsigned int row_ticks;
	u8 *dst;
	void (*irq)(void *priv, enum vb2_buffer_state state);
	void *priv;

	/* private: internal use only */
	u8 *pix, *ref;
	unsigned int row;
};

int codec_hw_init(struct codec_hw *hw);
void codec_hw_start(struct codec_hw *hw, const struct vb2_buffer *src,
		    const struct vb2_buffer *dst);

#endif
