/*
 * The userspace of the sweep, in the same program as the kernel it calls.
 *
 *   libva          imports dma-bufs, queues them, does its own work, waits for
 *                  the dma-buf's fence and reads
 *   kernel-direct  queues, waits until the buffer comes back (DQBUF) and reads
 *   software       decodes by itself
 */
#include <linux/kernel.h>
#include <linux/hw-clock.h>
#include <media/v4l2-mem2mem.h>
#include <media/vcodec.h>
#include "decode.h"

#define CAP_POOL	4
#define MAX_SIDE	4096
#define HEADER_SIZE	12

/*
 * What libva does between queueing a buffer and waiting for it. Three rows of
 * MPEG-2 are done by then; of the others at most one.
 */
#define LIBVA_TICKS	4

struct row {
	const struct vcodec *codec;
	const struct video_device *vdev;
};

static const struct row rows[] = {
	{ &vcodec_h264, &rkvdec_video_device },
	{ &vcodec_hevc, &rkvdec_video_device },
	{ &vcodec_vp9, &rkvdec_video_device },
	{ &vcodec_mpeg2, &hantro_video_device },
	{ &vcodec_vp8, &hantro_video_device },
};

/*
 * A clip: magic (4 bytes), width, height, frames, zero (16 bits each, little
 * endian); then each frame's size (32 bits) and bitstream.
 */
struct clip {
	u8 *data;
	size_t size, pos;
	unsigned int width, height, frames;
};

static u32 get_le(const u8 *p, unsigned int bytes)
{
	return bytes ? p[0] | get_le(p + 1, bytes - 1) << 8 : 0;
}

static int fail(const char *what, const char *name)
{
	fprintf(stderr, "%s: %s\n", name, what);
	return -EINVAL;
}

static int clip_open(struct clip *clip, const char *name, const struct vcodec *codec)
{
	FILE *file = fopen(name, "rb");
	size_t room = 0, got;

	if (!file)
		return fail(strerror(errno), name);
	do {
		if (clip->size == room) {
			room += 65536;
			clip->data = realloc(clip->data, room);
			BUG_ON(!clip->data);
		}
		got = fread(clip->data + clip->size, 1, room - clip->size, file);
		clip->size += got;
	} while (got);
	if (ferror(file) || fclose(file))
		return fail("it can't be read", name);

	if (clip->size < HEADER_SIZE || memcmp(clip->data, codec->magic, 4))
		return fail("it is no clip of this codec", name);
	clip->width = get_le(clip->data + 4, 2);
	clip->height = get_le(clip->data + 6, 2);
	clip->frames = get_le(clip->data + 8, 2);
	clip->pos = HEADER_SIZE;
	if (!clip->width || clip->width % 16 || clip->width > MAX_SIDE ||
	    !clip->height || clip->height % 16 || clip->height > MAX_SIDE)
		return fail("its header is broken", name);
	return 0;
}

static int clip_next(struct clip *clip, u8 **data, size_t *size)
{
	if (clip->size - clip->pos < 4)
		return -EINVAL;
	*size = get_le(clip->data + clip->pos, 4);
	clip->pos += 4;
	if (*size > clip->size - clip->pos)
		return -EINVAL;
	*data = clip->data + clip->pos;
	clip->pos += *size;
	return 0;
}

static int decode_software(struct clip *clip, const struct vcodec *codec, FILE *out)
{
	size_t bytes = clip->width * clip->height, size;
	u8 *pix = kzalloc(bytes, GFP_KERNEL), *ref = kzalloc(bytes, GFP_KERNEL);
	unsigned int i;
	u8 *data, *tmp;

	BUG_ON(!pix || !ref);
	for (i = 0; i < clip->frames; i++) {
		struct vcodec_frame f = {
			.width = clip->width, .height = clip->height,
			.ref = ref, .pix = pix,
		};

		if (clip_next(clip, &data, &size))
			return -EINVAL;
		f.data = data;
		f.size = size;
		if (codec->decode(&f))
			return -EINVAL;
		fwrite(pix, 1, bytes, out);
		tmp = ref;
		ref = pix;
		pix = tmp;
	}
	return 0;
}

static int dequeue(struct v4l2_m2m_ctx *m2m_ctx)
{
	struct vb2_buffer *vb;
	int ret_src = vb2_core_dqbuf(&m2m_ctx->out_q_ctx.q, &vb);
	int ret_dst = vb2_core_dqbuf(&m2m_ctx->cap_q_ctx.q, &vb);

	return ret_src ? ret_src : ret_dst;
}

static int wait_for_fence(struct dma_buf *dmabuf)
{
	struct dma_fence *fence = dma_buf_export_sync_file(dmabuf);
	int ret = dma_fence_wait(fence);

	dma_fence_put(fence);
	return ret;
}

/* The device answers in order, so buffer i of the pool is free once i jobs are dequeued. */
static int decode_hardware(struct clip *clip, struct v4l2_m2m_ctx *m2m_ctx, bool libva, FILE *out)
{
	struct vb2_v4l2_buffer src[CAP_POOL] = { 0 }, dst[CAP_POOL] = { 0 };
	size_t bytes = clip->width * clip->height, size;
	unsigned int i, queued = 0;
	u8 *data;
	int ret;

	for (i = 0; i < CAP_POOL; i++) {
		struct dma_buf *dmabuf = dma_heap_buffer_alloc(bytes);

		BUG_ON(!dmabuf);
		src[i].vb2_buf.num_planes = 1;
		dst[i].vb2_buf.num_planes = 1;
		dst[i].vb2_buf.planes[0].dbuf = dmabuf;
		dst[i].vb2_buf.planes[0].vaddr = dmabuf->vaddr;
	}

	for (i = 0; i < clip->frames; i++) {
		struct vb2_plane *in = &src[i % CAP_POOL].vb2_buf.planes[0];
		struct vb2_plane *frame = &dst[i % CAP_POOL].vb2_buf.planes[0];

		if (queued == CAP_POOL) {
			ret = dequeue(m2m_ctx);
			if (ret)
				return ret;
			queued--;
		}
		if (clip_next(clip, &data, &size))
			return -EINVAL;
		in->vaddr = data;
		in->bytesused = size;
		ret = v4l2_m2m_qbuf(m2m_ctx, &m2m_ctx->out_q_ctx.q, &src[i % CAP_POOL]);
		if (!ret)
			ret = v4l2_m2m_qbuf(m2m_ctx, &m2m_ctx->cap_q_ctx.q, &dst[i % CAP_POOL]);
		if (ret)
			return ret;
		queued++;

		if (libva) {
			hw_clock_advance(LIBVA_TICKS);
			ret = wait_for_fence(frame->dbuf);
		} else {
			ret = dequeue(m2m_ctx);
			queued--;
		}
		if (ret)
			return ret;
		fwrite(frame->vaddr, 1, bytes, out);
	}
	for (ret = 0; queued && !ret; queued--)
		ret = dequeue(m2m_ctx);
	return ret;
}

int decode(const char *row, const char *path, const char *fixture, const char *output)
{
	bool software = !strcmp(path, "software"), libva = !strcmp(path, "libva");
	const struct row *r = NULL;
	struct v4l2_m2m_ctx *m2m_ctx = NULL;
	struct clip clip = { 0 };
	unsigned int i;
	FILE *out;
	int ret;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].codec->name, row))
			r = &rows[i];
	if (!r)
		return fail("there is no such codec", row);
	if (!software && !libva && strcmp(path, "kernel-direct"))
		return fail("there is no such path", path);
	if (clip_open(&clip, fixture, r->codec))
		return -EINVAL;
	if (!software) {
		m2m_ctx = r->vdev->open(r->codec, clip.width, clip.height);
		if (!m2m_ctx)
			return fail("it doesn't take this clip", r->vdev->node);
	}

	out = fopen(output, "wb");
	if (!out)
		return fail(strerror(errno), output);
	ret = software ? decode_software(&clip, r->codec, out) :
			 decode_hardware(&clip, m2m_ctx, libva, out);
	if (ferror(out) | fclose(out))
		return fail("it can't be written", output);
	if (ret == -ETIMEDOUT)
		return fail("the device never answered", fixture);
	if (ret || clip.pos != clip.size)
		return fail("its bitstream is broken", fixture);

	if (software)
		printf("{\"device\": null, \"frames\": %u}\n", clip.frames);
	else
		printf("{\"device\": \"%s\", \"frames\": %u}\n", r->vdev->node, clip.frames);
	return 0;
}
