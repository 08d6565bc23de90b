#ifndef _MEDIA_V4L2_MEM2MEM_H
#define _MEDIA_V4L2_MEM2MEM_H

#include <media/videobuf2-core.h>

struct vb2_v4l2_buffer {
	struct vb2_buffer vb2_buf;
	struct list_head rdy_entry;
};

#define to_vb2_v4l2_buffer(vb) container_of(vb, struct vb2_v4l2_buffer, vb2_buf)

struct v4l2_m2m_queue_ctx {
	struct vb2_queue q;
	struct list_head rdy_queue;
};

struct v4l2_m2m_ctx {
	void (*device_run)(void *priv);
	void *priv;
	bool running;
	struct v4l2_m2m_queue_ctx out_q_ctx;
	struct v4l2_m2m_queue_ctx cap_q_ctx;
};

struct v4l2_fh {
	struct v4l2_m2m_ctx *m2m_ctx;
};

/* A device node. open() gives a context for frames of that size, or NULL. */
struct vcodec;
struct video_device {
	const char *node;
	struct v4l2_m2m_ctx *(*open)(const struct vcodec *codec,
				     unsigned int width, unsigned int height);
};

extern const struct video_device rkvdec_video_device;
extern const struct video_device hantro_video_device;

struct v4l2_m2m_ctx *v4l2_m2m_ctx_init(const struct vb2_ops *ops,
				       void (*device_run)(void *priv), void *priv);
int v4l2_m2m_qbuf(struct v4l2_m2m_ctx *m2m_ctx, struct vb2_queue *q,
		  struct vb2_v4l2_buffer *vbuf);
void v4l2_m2m_buf_queue(struct v4l2_m2m_ctx *m2m_ctx,
			struct vb2_v4l2_buffer *vbuf);
struct vb2_v4l2_buffer *v4l2_m2m_next_src_buf(struct v4l2_m2m_ctx *m2m_ctx);
struct vb2_v4l2_buffer *v4l2_m2m_next_dst_buf(struct v4l2_m2m_ctx *m2m_ctx);
void v4l2_m2m_buf_done_and_job_finish(struct v4l2_m2m_ctx *m2m_ctx,
				      enum vb2_buffer_state state);

#endif
