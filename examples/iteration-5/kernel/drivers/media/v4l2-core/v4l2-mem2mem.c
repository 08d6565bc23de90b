#include <media/v4l2-mem2mem.h>

static void v4l2_m2m_queue_init(struct v4l2_m2m_queue_ctx *q_ctx, bool is_output,
				const struct vb2_ops *ops, void *priv)
{
	q_ctx->q.is_output = is_output;
	q_ctx->q.ops = ops;
	q_ctx->q.drv_priv = priv;
	vb2_core_queue_init(&q_ctx->q);
	INIT_LIST_HEAD(&q_ctx->rdy_queue);
}

struct v4l2_m2m_ctx *v4l2_m2m_ctx_init(const struct vb2_ops *ops,
				       void (*device_run)(void *priv), void *priv)
{
	struct v4l2_m2m_ctx *m2m_ctx = kzalloc(sizeof(*m2m_ctx), GFP_KERNEL);

	if (!m2m_ctx)
		return NULL;
	m2m_ctx->device_run = device_run;
	m2m_ctx->priv = priv;
	v4l2_m2m_queue_init(&m2m_ctx->out_q_ctx, true, ops, priv);
	v4l2_m2m_queue_init(&m2m_ctx->cap_q_ctx, false, ops, priv);
	return m2m_ctx;
}
EXPORT_SYMBOL_GPL(v4l2_m2m_ctx_init);

static struct vb2_v4l2_buffer *v4l2_m2m_next_buf(struct v4l2_m2m_queue_ctx *q_ctx)
{
	if (list_empty(&q_ctx->rdy_queue))
		return NULL;
	return list_first_entry(&q_ctx->rdy_queue, struct vb2_v4l2_buffer, rdy_entry);
}

struct vb2_v4l2_buffer *v4l2_m2m_next_src_buf(struct v4l2_m2m_ctx *m2m_ctx)
{
	return v4l2_m2m_next_buf(&m2m_ctx->out_q_ctx);
}
EXPORT_SYMBOL_GPL(v4l2_m2m_next_src_buf);

struct vb2_v4l2_buffer *v4l2_m2m_next_dst_buf(struct v4l2_m2m_ctx *m2m_ctx)
{
	return v4l2_m2m_next_buf(&m2m_ctx->cap_q_ctx);
}
EXPORT_SYMBOL_GPL(v4l2_m2m_next_dst_buf);

/* A job needs a buffer on either side; the device does one at a time. */
static void v4l2_m2m_try_schedule(struct v4l2_m2m_ctx *m2m_ctx)
{
	if (m2m_ctx->running || !v4l2_m2m_next_src_buf(m2m_ctx) ||
	    !v4l2_m2m_next_dst_buf(m2m_ctx))
		return;
	m2m_ctx->running = true;
	m2m_ctx->device_run(m2m_ctx->priv);
}

int v4l2_m2m_qbuf(struct v4l2_m2m_ctx *m2m_ctx, struct vb2_queue *q,
		  struct vb2_v4l2_buffer *vbuf)
{
	int ret = vb2_core_qbuf(q, &vbuf->vb2_buf);

	if (!ret)
		v4l2_m2m_try_schedule(m2m_ctx);
	return ret;
}
EXPORT_SYMBOL_GPL(v4l2_m2m_qbuf);

void v4l2_m2m_buf_queue(struct v4l2_m2m_ctx *m2m_ctx,
			struct vb2_v4l2_buffer *vbuf)
{
	struct v4l2_m2m_queue_ctx *q_ctx = vbuf->vb2_buf.vb2_queue->is_output ?
		&m2m_ctx->out_q_ctx : &m2m_ctx->cap_q_ctx;

	list_add_tail(&vbuf->rdy_entry, &q_ctx->rdy_queue);
}
EXPORT_SYMBOL_GPL(v4l2_m2m_buf_queue);

void v4l2_m2m_buf_done_and_job_finish(struct v4l2_m2m_ctx *m2m_ctx,
				      enum vb2_buffer_state state)
{
	struct vb2_v4l2_buffer *src = v4l2_m2m_next_src_buf(m2m_ctx);
	struct vb2_v4l2_buffer *dst = v4l2_m2m_next_dst_buf(m2m_ctx);

	list_del(&src->rdy_entry);
	list_del(&dst->rdy_entry);
	vb2_buffer_done(&src->vb2_buf, state);
	vb2_buffer_done(&dst->vb2_buf, state);
	m2m_ctx->running = false;
	v4l2_m2m_try_schedule(m2m_ctx);
}
EXPORT_SYMBOL_GPL(v4l2_m2m_buf_done_and_job_finish);
