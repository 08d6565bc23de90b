import { nkeys } from 'nats';

/** A new NKey for a user of the NATS server. The seed is its secret: what `seedFile` of a config holds. */
export const createNatsKey = (): { publicKey: string; seed: string } => {
  const pair = nkeys.createUser();
  return { publicKey: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) };
};
