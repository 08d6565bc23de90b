#include "compile.h"
#include "utsrelease.h"

const char uts_release[] = UTS_RELEASE;

/* What /proc/version says. */
const char linux_banner[] =
	"Linux version " UTS_RELEASE " (" LINUX_COMPILE_BY "@"
	LINUX_COMPILE_HOST ") " UTS_VERSION "\n";
