import { Refused } from '../../coordinator/refused.ts';

/** Where to log in, from `user@host[:port]`. */
export interface Destination {
  user: string;
  address: string;
  port: number;
}

/** Reads `root@fresnel`, `lars@192.168.1.20:2222` or `root@[fe80::1]:22`. @throws {Refused} */
export const readDestination = (text: string): Destination => {
  const [, user, v6, name, port = '22'] =
    /^([a-z_][a-z0-9_-]{0,31})@(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9][A-Za-z0-9.-]*))(?::(\d{1,5}))?$/.exec(
      text,
    ) ?? [];
  const address = v6 ?? name;
  if (user === undefined || address === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new Refused(`--ssh takes USER@HOST or USER@HOST:PORT, like root@fresnel:22, and not "${text}"`);
  return { user, address, port: Number(port) };
};

/** A pinned host key: a fingerprint, or the whole ed25519 key. @throws {Refused} */
export const readHostKey = (text: string): string => {
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(text) || /^ssh-ed25519 [A-Za-z0-9+/]+={0,2}$/.test(text)) return text;
  throw new Refused(
    `--host-key takes the fingerprint of the host's ed25519 key, like SHA256:… with 43 letters, and not "${text}"; on the host: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`,
  );
};
