/*
 * The hardware's time. Decoders work while userspace does something else;
 * that is a race, and here it is run by a simulated clock instead of threads
 * and sleeps, so that the same side wins it on every machine, however loaded.
 */
#ifndef _LINUX_HW_CLOCK_H
#define _LINUX_HW_CLOCK_H

#include <linux/kernel.h>

void hw_clock_schedule(u64 delay, void (*fn)(void *arg), void *arg);
void hw_clock_advance(u64 ticks);
bool hw_clock_step(void);

#endif
