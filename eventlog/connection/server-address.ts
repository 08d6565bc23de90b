import { isIP } from 'node:net';

/** Whether what is sent to this address or host name stays on this machine. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/**
 * Whether a connection to one of these servers has to be encrypted, and the server's certificate verified: within one
 * machine only if the config says `tls://`, elsewhere always. What a server says about itself decides nothing.
 */
export const needsTls = (servers: readonly string[], withinOneMachine: boolean): boolean =>
  servers.some((server) => {
    const { protocol, hostname } = new URL(server.includes('://') ? server : `nats://${server}`);
    return protocol === 'tls:' || !(withinOneMachine || isLoopback(hostname.replace(/^\[|\]$/g, '')));
  });
