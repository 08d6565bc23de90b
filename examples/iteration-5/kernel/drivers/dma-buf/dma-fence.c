#include <linux/dma-fence.h>
#include <linux/hw-clock.h>

static u64 next_context = 1;

u64 dma_fence_context_alloc(unsigned int num)
{
	u64 context = next_context;

	next_context += num;
	return context;
}
EXPORT_SYMBOL_GPL(dma_fence_context_alloc);

void dma_fence_init(struct dma_fence *fence, const struct dma_fence_ops *ops,
		    spinlock_t *lock, u64 context, u64 seqno)
{
	BUG_ON(!lock || !ops || !ops->get_driver_name || !ops->get_timeline_name);
	fence->lock = lock;
	fence->ops = ops;
	fence->context = context;
	fence->seqno = seqno;
	fence->refcount = 1;
	fence->signaled = false;
	fence->error = 0;
}
EXPORT_SYMBOL_GPL(dma_fence_init);

struct dma_fence *dma_fence_get(struct dma_fence *fence)
{
	fence->refcount++;
	return fence;
}
EXPORT_SYMBOL_GPL(dma_fence_get);

void dma_fence_put(struct dma_fence *fence)
{
	if (!fence || --fence->refcount)
		return;
	/* Who waits for a fence that is gone would wait for ever. */
	BUG_ON(!fence->signaled);
	kfree(fence);
}
EXPORT_SYMBOL_GPL(dma_fence_put);

void dma_fence_set_error(struct dma_fence *fence, int error)
{
	BUG_ON(fence->signaled || error >= 0);
	fence->error = error;
}
EXPORT_SYMBOL_GPL(dma_fence_set_error);

int dma_fence_signal(struct dma_fence *fence)
{
	if (fence->signaled)
		return -EINVAL;
	fence->signaled = true;
	return 0;
}
EXPORT_SYMBOL_GPL(dma_fence_signal);

/* Let the hardware work until it signals the fence; -ETIMEDOUT when it never will. */
int dma_fence_wait(struct dma_fence *fence)
{
	while (!dma_fence_is_signaled(fence))
		if (!hw_clock_step())
			return -ETIMEDOUT;
	return fence->error;
}
EXPORT_SYMBOL_GPL(dma_fence_wait);

static const char *dma_fence_stub_get_name(struct dma_fence *fence)
{
	return "stub";
}

static const struct dma_fence_ops dma_fence_stub_ops = {
	.get_driver_name = dma_fence_stub_get_name,
	.get_timeline_name = dma_fence_stub_get_name,
};

/* A fence that is signalled already. */
struct dma_fence *dma_fence_get_stub(void)
{
	static struct dma_fence stub;
	static spinlock_t lock;

	if (!stub.ops) {
		dma_fence_init(&stub, &dma_fence_stub_ops, &lock, 0, 0);
		dma_fence_signal(&stub);
	}
	return dma_fence_get(&stub);
}
EXPORT_SYMBOL_GPL(dma_fence_get_stub);
