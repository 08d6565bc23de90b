#include <media/codec-hw.h>

struct hantro_fmt {
	const struct vcodec *codec;
	unsigned int row_ticks;
};

static const struct hantro_fmt hantro_fmts[] = {
	{ .codec = &vcodec_mpeg2, .row_ticks = 1 },
	{ .codec = &vcodec_vp8, .row_ticks = 4 },
};

struct hantro_ctx {
	struct v4l2_fh fh;
	struct codec_hw hw;
};

static void hantro_irq_done(void *priv, enum vb2_buffer_state state)
{
	struct hantro_ctx *ctx = priv;

	v4l2_m2m_buf_done_and_job_finish(ctx->fh.m2m_ctx, state);
}

static void device_run(void *priv)
{
	struct hantro_ctx *ctx = priv;

	codec_hw_start(&ctx->hw,
		       &v4l2_m2m_next_src_buf(ctx->fh.m2m_ctx)->vb2_buf,
		       &v4l2_m2m_next_dst_buf(ctx->fh.m2m_ctx)->vb2_buf);
}

static void hantro_buf_queue(struct vb2_buffer *vb)
{
	struct hantro_ctx *ctx = vb2_get_drv_priv(vb->vb2_queue);
	struct vb2_v4l2_buffer *vbuf = to_vb2_v4l2_buffer(vb);

	v4l2_m2m_buf_queue(ctx->fh.m2m_ctx, vbuf);
}

static const struct vb2_ops hantro_queue_ops = {
	.buf_queue = hantro_buf_queue,
};

static struct v4l2_m2m_ctx *hantro_open(const struct vcodec *codec,
					unsigned int width, unsigned int height)
{
	struct hantro_ctx *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	unsigned int i;

	if (!ctx)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(hantro_fmts); i++)
		if (hantro_fmts[i].codec == codec)
			ctx->hw.row_ticks = hantro_fmts[i].row_ticks;
	ctx->hw.codec = codec;
	ctx->hw.frame.width = width;
	ctx->hw.frame.height = height;
	/* The G1's IDCT cuts off where the reference decoder rounds. */
	ctx->hw.frame.truncate = true;
	ctx->hw.irq = hantro_irq_done;
	ctx->hw.priv = ctx;
	if (!ctx->hw.row_ticks || codec_hw_init(&ctx->hw))
		return NULL;
	ctx->fh.m2m_ctx = v4l2_m2m_ctx_init(&hantro_queue_ops, device_run, ctx);
	return ctx->fh.m2m_ctx;
}

const struct video_device hantro_video_device = {
	.node = "/dev/video1 (hantro)",
	.open = hantro_open,
};
