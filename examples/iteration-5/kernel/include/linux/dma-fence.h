#ifndef _LINUX_DMA_FENCE_H
#define _LINUX_DMA_FENCE_H

#include <linux/kernel.h>

struct dma_fence;

struct dma_fence_ops {
	const char *(*get_driver_name)(struct dma_fence *fence);
	const char *(*get_timeline_name)(struct dma_fence *fence);
};

struct dma_fence {
	spinlock_t *lock;
	const struct dma_fence_ops *ops;
	u64 context;
	u64 seqno;
	unsigned int refcount;
	bool signaled;
	int error;
};

u64 dma_fence_context_alloc(unsigned int num);
void dma_fence_init(struct dma_fence *fence, const struct dma_fence_ops *ops,
		    spinlock_t *lock, u64 context, u64 seqno);
struct dma_fence *dma_fence_get(struct dma_fence *fence);
void dma_fence_put(struct dma_fence *fence);
void dma_fence_set_error(struct dma_fence *fence, int error);
int dma_fence_signal(struct dma_fence *fence);
int dma_fence_wait(struct dma_fence *fence);
struct dma_fence *dma_fence_get_stub(void);

static inline bool dma_fence_is_signaled(const struct dma_fence *fence)
{
	return fence->signaled;
}

#endif
