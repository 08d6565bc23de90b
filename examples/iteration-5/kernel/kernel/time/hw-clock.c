#include <linux/hw-clock.h>

struct hw_event {
	u64 at;
	void (*fn)(void *arg);
	void *arg;
	struct hw_event *next;
};

static u64 now;
static struct hw_event *pending;

/* Call fn(arg) in so many ticks. Events of one tick run in the order they were asked for. */
void hw_clock_schedule(u64 delay, void (*fn)(void *arg), void *arg)
{
	struct hw_event *event = kzalloc(sizeof(*event), GFP_KERNEL);
	struct hw_event **p = &pending;

	BUG_ON(!event);
	event->at = now + delay;
	event->fn = fn;
	event->arg = arg;
	while (*p && (*p)->at <= event->at)
		p = &(*p)->next;
	event->next = *p;
	*p = event;
}

/* Go to the next event and run it. False: nothing is pending, waiting is in vain. */
bool hw_clock_step(void)
{
	struct hw_event *event = pending;

	if (!event)
		return false;
	pending = event->next;
	now = event->at;
	event->fn(event->arg);
	kfree(event);
	return true;
}

void hw_clock_advance(u64 ticks)
{
	u64 until = now + ticks;

	while (pending && pending->at <= until)
		hw_clock_step();
	now = until;
}
