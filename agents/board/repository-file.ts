import type { BoardConfig } from '../../schemas/config.ts';

export const withoutSlash = (url: string): string => url.replace(/(?<!\/)\/+$/, '');

/** The URL of a file in the repository that the board's config names. */
export const repositoryFile = ({ repositoryUrl }: Pick<BoardConfig, 'repositoryUrl'>, file: string): string =>
  `${withoutSlash(repositoryUrl)}/${encodeURIComponent(file)}`;
