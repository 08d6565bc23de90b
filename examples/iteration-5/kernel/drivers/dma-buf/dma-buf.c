#include <linux/dma-buf.h>

/* A buffer of zeros. */
struct dma_buf *dma_heap_buffer_alloc(size_t size)
{
	struct dma_buf *dmabuf = kzalloc(sizeof(*dmabuf), GFP_KERNEL);

	if (!dmabuf)
		return NULL;
	dmabuf->vaddr = kzalloc(size, GFP_KERNEL);
	if (!dmabuf->vaddr) {
		kfree(dmabuf);
		return NULL;
	}
	dmabuf->size = size;
	dmabuf->resv = &dmabuf->_resv;
	return dmabuf;
}
EXPORT_SYMBOL_GPL(dma_heap_buffer_alloc);

/* What a reader has to wait for: the producer's fence, or a stub when there is none. */
struct dma_fence *dma_buf_export_sync_file(struct dma_buf *dmabuf)
{
	struct dma_fence *fence;

	dma_resv_lock(dmabuf->resv, NULL);
	fence = dma_resv_get_newest(dmabuf->resv, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(dmabuf->resv);
	return fence ? fence : dma_fence_get_stub();
}
EXPORT_SYMBOL_GPL(dma_buf_export_sync_file);
