import type { FellBack } from '../../../schemas/boot.ts';
import type { Opened } from '../../../schemas/open.ts';

/** How a new kernel that did not come up ended, as part of a sentence. */
export const howItFellBack = ({ how, says }: Opened<FellBack>): string => {
  const words = says === undefined ? '' : `: ${says}`;
  switch (how) {
    case 'panic':
      return `the new kernel panicked${words}`;
    case 'watchdog':
      return `the new kernel, or the boot loader before it, hung, and the hardware watchdog reset the board${words}`;
    case 'deadline':
      return `the board's own deadline ended the new kernel's trial${words}`;
    case 'unknown':
      return `how the new kernel ended is not known: no panic was recorded, and no watchdog reports that it reset the board${words && `; what was found${words}`}`;
  }
  return `the new kernel ended in a way that this version does not know, ${how}${words}`;
};
