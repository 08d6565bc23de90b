#include <linux/dma-resv.h>

int dma_resv_lock(struct dma_resv *obj, struct ww_acquire_ctx *ctx)
{
	BUG_ON(obj->locked);
	obj->locked = true;
	return 0;
}
EXPORT_SYMBOL_GPL(dma_resv_lock);

void dma_resv_unlock(struct dma_resv *obj)
{
	BUG_ON(!obj->locked);
	obj->locked = false;
	/* A reservation ends with the lock. */
	obj->max_fences = obj->num_fences;
}
EXPORT_SYMBOL_GPL(dma_resv_unlock);

/* Drop what is signalled and make room, so that dma_resv_add_fence() can't fail. */
int dma_resv_reserve_fences(struct dma_resv *obj, unsigned int num_fences)
{
	struct dma_resv_entry *fences;
	unsigned int i, kept = 0;

	BUG_ON(!obj->locked);
	for (i = 0; i < obj->num_fences; i++) {
		if (dma_fence_is_signaled(obj->fences[i].fence))
			dma_fence_put(obj->fences[i].fence);
		else
			obj->fences[kept++] = obj->fences[i];
	}
	obj->num_fences = kept;

	fences = realloc(obj->fences, (kept + num_fences) * sizeof(*fences));
	if (!fences)
		return -ENOMEM;
	obj->fences = fences;
	obj->max_fences = kept + num_fences;
	return 0;
}
EXPORT_SYMBOL_GPL(dma_resv_reserve_fences);

void dma_resv_add_fence(struct dma_resv *obj, struct dma_fence *fence,
			enum dma_resv_usage usage)
{
	BUG_ON(!obj->locked);
	BUG_ON(obj->num_fences >= obj->max_fences);
	obj->fences[obj->num_fences].fence = dma_fence_get(fence);
	obj->fences[obj->num_fences].usage = usage;
	obj->num_fences++;
}
EXPORT_SYMBOL_GPL(dma_resv_add_fence);

/* The newest fence up to that usage, with a reference; NULL when there is none. */
struct dma_fence *dma_resv_get_newest(struct dma_resv *obj,
				      enum dma_resv_usage usage)
{
	unsigned int i = obj->num_fences;

	while (i--)
		if (obj->fences[i].usage <= usage)
			return dma_fence_get(obj->fences[i].fence);
	return NULL;
}
EXPORT_SYMBOL_GPL(dma_resv_get_newest);
