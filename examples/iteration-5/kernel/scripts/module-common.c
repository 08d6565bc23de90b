#include <linux/kernel.h>
#include "utsrelease.h"

MODULE_INFO(vermagic, UTS_RELEASE);
