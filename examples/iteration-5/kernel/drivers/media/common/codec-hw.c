#include <linux/hw-clock.h>
#include <media/codec-hw.h>

int codec_hw_init(struct codec_hw *hw)
{
	size_t size = hw->frame.width * hw->frame.height;

	hw->pix = kzalloc(size, GFP_KERNEL);
	hw->ref = kzalloc(size, GFP_KERNEL);
	return hw->pix && hw->ref ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(codec_hw_init);

static void codec_hw_fail(void *arg)
{
	struct codec_hw *hw = arg;

	hw->irq(hw->priv, VB2_BUF_STATE_ERROR);
}

static void codec_hw_row(void *arg)
{
	struct codec_hw *hw = arg;
	size_t bytes = hw->frame.width * CODEC_HW_MB;
	u8 *pix = hw->pix;

	memcpy(hw->dst + hw->row * bytes, hw->pix + hw->row * bytes, bytes);
	if (++hw->row < hw->frame.height / CODEC_HW_MB) {
		hw_clock_schedule(hw->row_ticks, codec_hw_row, hw);
		return;
	}
	hw->pix = hw->ref;
	hw->ref = pix;
	hw->irq(hw->priv, VB2_BUF_STATE_DONE);
}

void codec_hw_start(struct codec_hw *hw, const struct vb2_buffer *src,
		    const struct vb2_buffer *dst)
{
	hw->frame.data = src->planes[0].vaddr;
	hw->frame.size = src->planes[0].bytesused;
	hw->frame.pix = hw->pix;
	hw->frame.ref = hw->ref;
	hw->dst = dst->planes[0].vaddr;
	hw->row = 0;
	if (hw->codec->decode(&hw->frame))
		hw_clock_schedule(hw->row_ticks, codec_hw_fail, hw);
	else
		hw_clock_schedule(hw->row_ticks, codec_hw_row, hw);
}
EXPORT_SYMBOL_GPL(codec_hw_start);
