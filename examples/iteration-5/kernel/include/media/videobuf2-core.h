#ifndef _MEDIA_VIDEOBUF2_CORE_H
#define _MEDIA_VIDEOBUF2_CORE_H

#include <linux/dma-buf.h>
#include <linux/list.h>

#define VB2_MAX_PLANES	2

enum vb2_buffer_state {
	VB2_BUF_STATE_DEQUEUED,
	VB2_BUF_STATE_QUEUED,
	VB2_BUF_STATE_ACTIVE,
	VB2_BUF_STATE_DONE,
	VB2_BUF_STATE_ERROR,
};

/**
 * struct vb2_plane - plane information.
 * @dbuf:	the imported dma-buf; NULL for a buffer of the driver's own.
 * @vaddr:	where the plane's memory is.
 * @bytesused:	number of bytes occupied by data in the plane.
 */
struct vb2_plane {
	struct dma_buf *dbuf;
	void *vaddr;
	size_t bytesused;
};

/**
 * struct vb2_buffer - represents a video buffer.
 * @vb2_queue:	pointer to &struct vb2_queue with the buffer's queue.
 * @num_planes:	number of planes in the buffer.
 * @planes:	the planes.
 */
struct vb2_buffer {
	struct vb2_queue *vb2_queue;
	unsigned int num_planes;
	struct vb2_plane planes[VB2_MAX_PLANES];

	/* private: internal use only */
	enum vb2_buffer_state state;
	struct list_head done_entry;
};

/**
 * struct vb2_ops - driver-specific callbacks.
 * @buf_queue:	passes buffer @vb to the driver; the driver gives it back with
 *		vb2_buffer_done().
 */
struct vb2_ops {
	void (*buf_queue)(struct vb2_buffer *vb);
};

/**
 * struct vb2_queue - a videobuf2 queue.
 * @is_output:	true for an OUTPUT queue, from userspace to the device.
 * @ops:	driver-specific callbacks.
 * @drv_priv:	driver private data.
 */
struct vb2_queue {
	bool is_output;
	const struct vb2_ops *ops;
	void *drv_priv;

	/* private: internal use only */
	struct list_head done_list;
};

/**
 * vb2_buffer_done() - inform videobuf that an operation on a buffer is finished.
 * @vb:		pointer to &struct vb2_buffer to be used.
 * @state:	%VB2_BUF_STATE_DONE or %VB2_BUF_STATE_ERROR.
 */
void vb2_buffer_done(struct vb2_buffer *vb, enum vb2_buffer_state state);

void vb2_core_queue_init(struct vb2_queue *q);
int vb2_core_qbuf(struct vb2_queue *q, struct vb2_buffer *vb);
int vb2_core_dqbuf(struct vb2_queue *q, struct vb2_buffer **pvb);

static inline void *vb2_get_drv_priv(struct vb2_queue *q)
{
	return q->drv_priv;
}

#endif
