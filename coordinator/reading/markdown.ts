/** A Markdown table. Bars in a cell are escaped, line ends become blanks. */
export const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/(?<!\s)\s*\n\s*/g, ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
};

/** A duration as people read it: `42 s`, `4 min 05 s`, `1 h 02 min`. */
export const spokenSeconds = (seconds: number): string => {
  if (seconds < 1) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (value: number) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
};

/** Bytes as people say them: `0.3 MB`, `12.0 MB`, `4.1 GB`, of 1024 × 1024 and so on. */
export const spokenBytes = (bytes: number): string => {
  const megabytes = bytes / 1024 ** 2;
  return megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1024).toFixed(1)} GB`;
};
