#ifndef _LINUX_DMA_RESV_H
#define _LINUX_DMA_RESV_H

#include <linux/dma-fence.h>

struct ww_acquire_ctx;

enum dma_resv_usage {
	DMA_RESV_USAGE_KERNEL,
	DMA_RESV_USAGE_WRITE,
	DMA_RESV_USAGE_READ,
	DMA_RESV_USAGE_BOOKKEEP,
};

struct dma_resv_entry {
	struct dma_fence *fence;
	enum dma_resv_usage usage;
};

struct dma_resv {
	bool locked;
	unsigned int num_fences, max_fences;
	struct dma_resv_entry *fences;
};

int dma_resv_lock(struct dma_resv *obj, struct ww_acquire_ctx *ctx);
void dma_resv_unlock(struct dma_resv *obj);
int dma_resv_reserve_fences(struct dma_resv *obj, unsigned int num_fences);
void dma_resv_add_fence(struct dma_resv *obj, struct dma_fence *fence,
			enum dma_resv_usage usage);
struct dma_fence *dma_resv_get_newest(struct dma_resv *obj,
				      enum dma_resv_usage usage);

#endif
