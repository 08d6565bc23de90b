import type { PublisherConfig } from '../../schemas/config.ts';
import type { RoleParts } from '../runtime/agent.ts';
import { keycheck } from './keycheck.ts';
import { publish } from './publish.ts';

/** A publisher's steps. */
export const publisher: RoleParts<PublisherConfig> = { steps: { keycheck, publish } };
