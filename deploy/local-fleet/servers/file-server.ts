import { once } from 'node:events';
import { createServer } from 'node:http';
import send from 'send';

export interface FileServer {
  port: number;
  close(): Promise<void>;
}

/**
 * Serves folders over HTTP on 127.0.0.1, read-only, with Range requests: `/arch/x` is `x` in the folder of `arch`. A
 * folder may be a link, which is followed again for each request.
 * @param port 0 for a free one. @throws if the port is taken.
 */
export const startFileServer = async (
  folders: Readonly<Record<string, string>>,
  port = 0,
): Promise<FileServer> => {
  const server = createServer((request, response) => {
    const refuse = (status: number) => {
      response.statusCode = status;
      response.end();
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405);
    const [, name = '', path = ''] = /^\/([^/?]+)(\/[^?]*)/.exec(request.url ?? '') ?? [];
    const folder = Object.hasOwn(folders, name) ? folders[name] : undefined;
    if (folder === undefined) return refuse(404);
    return send(request, path, { root: folder, index: false, dotfiles: 'deny', cacheControl: false })
      .on('error', (error: { status?: number }) => refuse(error.status ?? 500))
      .on('directory', () => refuse(404))
      .pipe(response);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the file server has no port');
  return {
    port: bound.port,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
};
