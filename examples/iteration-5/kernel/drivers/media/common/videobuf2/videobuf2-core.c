#include <linux/hw-clock.h>
#include <media/videobuf2-core.h>

void vb2_buffer_done(struct vb2_buffer *vb, enum vb2_buffer_state state)
{
	struct vb2_queue *q = vb->vb2_queue;

	BUG_ON(vb->state != VB2_BUF_STATE_ACTIVE);
	BUG_ON(state != VB2_BUF_STATE_DONE && state != VB2_BUF_STATE_ERROR);

	/* Add the buffer to the done buffers list */
	vb->state = state;
	list_add_tail(&vb->done_entry, &q->done_list);
}
EXPORT_SYMBOL_GPL(vb2_buffer_done);

static void __enqueue_in_driver(struct vb2_buffer *vb)
{
	vb->state = VB2_BUF_STATE_ACTIVE;
	vb->vb2_queue->ops->buf_queue(vb);
}

int vb2_core_qbuf(struct vb2_queue *q, struct vb2_buffer *vb)
{
	if (vb->state != VB2_BUF_STATE_DEQUEUED)
		return -EINVAL;

	vb->vb2_queue = q;
	vb->state = VB2_BUF_STATE_QUEUED;
	__enqueue_in_driver(vb);
	return 0;
}
EXPORT_SYMBOL_GPL(vb2_core_qbuf);

/* Take the first finished buffer, waiting for it; -EIO when the device failed on it. */
int vb2_core_dqbuf(struct vb2_queue *q, struct vb2_buffer **pvb)
{
	struct vb2_buffer *vb;
	int ret;

	while (list_empty(&q->done_list))
		if (!hw_clock_step())
			return -ETIMEDOUT;

	vb = list_first_entry(&q->done_list, struct vb2_buffer, done_entry);
	list_del(&vb->done_entry);
	ret = vb->state == VB2_BUF_STATE_ERROR ? -EIO : 0;
	vb->state = VB2_BUF_STATE_DEQUEUED;
	*pvb = vb;
	return ret;
}
EXPORT_SYMBOL_GPL(vb2_core_dqbuf);

void vb2_core_queue_init(struct vb2_queue *q)
{
	BUG_ON(!q->ops || !q->ops->buf_queue);

	INIT_LIST_HEAD(&q->done_list);
}
EXPORT_SYMBOL_GPL(vb2_core_queue_init);
