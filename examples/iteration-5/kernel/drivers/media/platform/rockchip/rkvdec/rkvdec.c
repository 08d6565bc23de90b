#include <media/codec-hw.h>

struct rkvdec_coded_fmt_desc {
	const struct vcodec *codec;
	unsigned int row_ticks;
};

static const struct rkvdec_coded_fmt_desc rkvdec_coded_fmts[] = {
	{ .codec = &vcodec_h264, .row_ticks = 9 },
	{ .codec = &vcodec_hevc, .row_ticks = 6 },
	{ .codec = &vcodec_vp9, .row_ticks = 5 },
};

struct rkvdec_ctx {
	struct v4l2_fh fh;
	struct codec_hw hw;
};

static void rkvdec_irq_handler(void *priv, enum vb2_buffer_state state)
{
	struct rkvdec_ctx *ctx = priv;

	v4l2_m2m_buf_done_and_job_finish(ctx->fh.m2m_ctx, state);
}

static void rkvdec_device_run(void *priv)
{
	struct rkvdec_ctx *ctx = priv;

	codec_hw_start(&ctx->hw,
		       &v4l2_m2m_next_src_buf(ctx->fh.m2m_ctx)->vb2_buf,
		       &v4l2_m2m_next_dst_buf(ctx->fh.m2m_ctx)->vb2_buf);
}

static void rkvdec_buf_queue(struct vb2_buffer *vb)
{
	struct rkvdec_ctx *ctx = vb2_get_drv_priv(vb->vb2_queue);
	struct vb2_v4l2_buffer *vbuf = to_vb2_v4l2_buffer(vb);

	v4l2_m2m_buf_queue(ctx->fh.m2m_ctx, vbuf);
}

static const struct vb2_ops rkvdec_queue_ops = {
	.buf_queue = rkvdec_buf_queue,
};

static struct v4l2_m2m_ctx *rkvdec_open(const struct vcodec *codec,
					unsigned int width, unsigned int height)
{
	struct rkvdec_ctx *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	unsigned int i;

	if (!ctx)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(rkvdec_coded_fmts); i++)
		if (rkvdec_coded_fmts[i].codec == codec)
			ctx->hw.row_ticks = rkvdec_coded_fmts[i].row_ticks;
	ctx->hw.codec = codec;
	ctx->hw.frame.width = width;
	ctx->hw.frame.height = height;
	ctx->hw.irq = rkvdec_irq_handler;
	ctx->hw.priv = ctx;
	if (!ctx->hw.row_ticks || codec_hw_init(&ctx->hw))
		return NULL;
	ctx->fh.m2m_ctx = v4l2_m2m_ctx_init(&rkvdec_queue_ops, rkvdec_device_run, ctx);
	return ctx->fh.m2m_ctx;
}

const struct video_device rkvdec_video_device = {
	.node = "/dev/video0 (rkvdec)",
	.open = rkvdec_open,
};
