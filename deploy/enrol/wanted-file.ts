import { hash } from 'node:crypto';
import type { WantedFile } from './on-host/asked.ts';

/** A file as it should be on a host, with its content. */
export type FileWithBytes = WantedFile & { bytes: Uint8Array };

export const sha256 = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex');

/** A file that root owns. @param mode permission bits. */
export const wantedFile = (path: string, content: Uint8Array | string, mode: number): FileWithBytes => {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return { path, mode, owner: 'root', sha256: sha256(bytes), bytes };
};

/** The files without their content, for a survey. */
export const withoutBytes = (files: readonly FileWithBytes[]): WantedFile[] =>
  files.map(({ bytes: _, ...file }) => file);

/** The files with their content, as they are sent to a host. */
export const withBase64 = (files: readonly FileWithBytes[]): (WantedFile & { base64: string })[] =>
  files.map(({ bytes, ...file }) => ({ ...file, base64: Buffer.from(bytes).toString('base64') }));
