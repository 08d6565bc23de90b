import type { PublisherConfig } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Step } from '../runtime/step.ts';
import { signingTrial } from './openpgp.ts';

/**
 * Checks, before anything lands, whether this host can sign with the fleet's key. It leaves nothing behind.
 * @throws {StepFailed} (host) if it is set up for another key, or its key is missing, expired or not the one in its
 * keyring.
 */
export const keycheck: Step<'keycheck', PublisherConfig> = async (
  { fingerprint },
  { effect, host, run, workFolder },
) => {
  const { signing } = host;
  if (signing.fingerprint !== fingerprint)
    throw new StepFailed(
      'host',
      `${host.host} is set up to sign with ${signing.fingerprint} and the fleet's key is ${fingerprint}: correct "signing" in its config.`,
    );
  return effect('trial', signingTrial(run, signing, workFolder));
};
