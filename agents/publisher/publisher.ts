import type { PublisherConfig } from '../../schemas/config.ts';
import type { RoleParts } from '../runtime/agent.ts';
import { publisherKeeps } from './keeps.ts';
import { keycheck } from './keycheck.ts';
import { publish } from './publish.ts';

/** A publisher's steps, and what it keeps. */
export const publisher: RoleParts<PublisherConfig> = {
  steps: { keycheck, publish },
  keeps: publisherKeeps,
};
