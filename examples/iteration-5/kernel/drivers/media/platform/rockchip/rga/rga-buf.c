#include <media/v4l2-mem2mem.h>

/* The sweep doesn't use the RGA. Only the part that queues buffers is here. */
struct rga_ctx {
	struct v4l2_fh fh;
};

static void rga_buf_queue(struct vb2_buffer *vb)
{
	struct vb2_v4l2_buffer *vbuf = to_vb2_v4l2_buffer(vb);
	struct rga_ctx *ctx = vb2_get_drv_priv(vb->vb2_queue);

	v4l2_m2m_buf_queue(ctx->fh.m2m_ctx, vbuf);
}

const struct vb2_ops rga_qops = {
	.buf_queue = rga_buf_queue,
};
