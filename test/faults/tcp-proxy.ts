import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** What a proxy does to the bytes that one side sends; by default the server. */
type Damage = {
  /** How many bytes of a connection are passed on unchanged, counted from when the mode was set. */
  afterBytes: number;
  sent?: 'by the server' | 'by the client';
  /** How many connections are damaged; later ones are left alone. Default: all. */
  connections?: number;
};

export type ProxyMode =
  | { does: 'pass' }
  /** Connections stay open, new ones are accepted, and nothing is passed on: a half-open connection. */
  | { does: 'freeze' }
  /** Every connection is ended, and so is each new one. */
  | { does: 'refuse' }
  /** A connection is ended after `afterBytes`. */
  | ({ does: 'cut' } & Damage)
  /** After `afterBytes`, nothing more is passed on. */
  | ({ does: 'stall' } & Damage)
  /** The lowest bit of the byte after `afterBytes` is flipped. */
  | ({ does: 'flip' } & Damage);

export interface TcpProxy {
  readonly port: number;
  readonly targetPort: number;
  /** Sets the mode from now on, also for open connections. */
  set(mode: ProxyMode): void;
  /** How many connections were made through it. */
  readonly connections: number;
  /** How many of them were damaged, or ended. */
  readonly damaged: number;
  close(): Promise<void>;
}

interface Link {
  client: Socket;
  server: Socket;
  /** Bytes since the mode was set. */
  passed: { 'by the server': number; 'by the client': number };
  damage: 'may come' | 'done' | 'spared';
}

/** Starts a proxy on 127.0.0.1 for a server there. It passes everything on until its mode is changed. */
export const startProxy = async (targetPort: number): Promise<TcpProxy> => {
  let mode: ProxyMode = { does: 'pass' };
  const links = new Set<Link>();
  const count = { connections: 0, damaged: 0, left: Number.POSITIVE_INFINITY };

  const end = (link: Link) => {
    links.delete(link);
    link.client.destroy();
    link.server.destroy();
  };
  const mayDamage = (link: Link): boolean => {
    if (link.damage === 'may come') {
      link.damage = count.left > 0 ? 'done' : 'spared';
      if (link.damage === 'done') {
        count.left -= 1;
        count.damaged += 1;
      }
    }
    return link.damage === 'done';
  };
  /** Which part of a chunk is passed on, and whether the connection ends after it. */
  const treat = (link: Link, sent: keyof Link['passed'], chunk: Buffer): { out: Buffer; cut?: true } => {
    const before = link.passed[sent];
    link.passed[sent] += chunk.length;
    if (mode.does === 'pass' || mode.does === 'freeze' || mode.does === 'refuse') return { out: chunk };
    const { does, afterBytes } = mode;
    if ((mode.sent ?? 'by the server') !== sent || before + chunk.length <= afterBytes || !mayDamage(link))
      return { out: chunk };
    const at = Math.max(0, afterBytes - before);
    if (does === 'flip') {
      if (before > afterBytes) return { out: chunk };
      const out = Buffer.from(chunk);
      out.writeUInt8(out.readUInt8(at) ^ 1, at);
      return { out };
    }
    return { out: chunk.subarray(0, at), ...(does === 'cut' ? { cut: true } : {}) };
  };
  const pump = (link: Link, sent: keyof Link['passed'], from: Socket, to: Socket) => {
    from.on('data', (chunk) => {
      const { out, cut } = treat(link, sent, Buffer.from(chunk));
      if (cut) {
        to.write(out, () => end(link));
        from.pause();
        return;
      }
      if (out.length > 0 && !to.write(out)) {
        from.pause();
        to.once('drain', () => mode.does === 'freeze' || from.resume());
      }
    });
    from.on('end', () => to.end());
    from.on('error', () => end(link));
    from.on('close', () => end(link));
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    count.connections += 1;
    if (mode.does === 'refuse') {
      count.damaged += 1;
      client.on('error', () => undefined);
      client.destroy();
      return;
    }
    const upstream = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const link: Link = {
      client,
      server: upstream,
      passed: { 'by the server': 0, 'by the client': 0 },
      damage: 'may come',
    };
    links.add(link);
    pump(link, 'by the client', client, upstream);
    pump(link, 'by the server', upstream, client);
    if (mode.does === 'freeze') for (const socket of [client, upstream]) socket.pause();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    port: address.port,
    targetPort,
    set: (wanted) => {
      mode = wanted;
      count.left = ('connections' in wanted && wanted.connections) || Number.POSITIVE_INFINITY;
      for (const link of links) {
        link.passed = { 'by the server': 0, 'by the client': 0 };
        link.damage = 'may come';
        for (const socket of [link.client, link.server])
          if (mode.does === 'freeze') socket.pause();
          else socket.resume();
        if (mode.does === 'refuse') {
          count.damaged += 1;
          end(link);
        }
      }
    },
    get connections() {
      return count.connections;
    },
    get damaged() {
      return count.damaged;
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const link of links) end(link);
      await closed;
    },
  };
};
