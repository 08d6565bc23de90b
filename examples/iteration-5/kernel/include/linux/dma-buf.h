#ifndef _LINUX_DMA_BUF_H
#define _LINUX_DMA_BUF_H

#include <linux/dma-resv.h>

struct dma_buf {
	size_t size;
	void *vaddr;
	struct dma_resv *resv;
	struct dma_resv _resv;
};

struct dma_buf *dma_heap_buffer_alloc(size_t size);
struct dma_fence *dma_buf_export_sync_file(struct dma_buf *dmabuf);

#endif
