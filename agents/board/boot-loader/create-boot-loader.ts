import type { BootLoader, BootLoaderParts } from './boot-loader.ts';
import { createExtlinux } from './extlinux.ts';
import { withoutTrial } from './none.ts';
import { createUBoot } from './u-boot.ts';

/** The board's boot loader, as its config names it. */
export const createBootLoader = (parts: BootLoaderParts): BootLoader => {
  const loader = parts.host.boot.loader ?? { kind: 'none' };
  switch (loader.kind) {
    case 'u-boot':
      return createUBoot(parts, loader);
    case 'extlinux':
      return createExtlinux(parts, loader);
    case 'none':
      return withoutTrial;
  }
};
