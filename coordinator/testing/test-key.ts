import { generateWriterKey, readWriterKey, type WriterKey } from '../../eventlog/signing/writer-key.ts';

const keys = new Map<string, WriterKey>();

/** Each writer's key, made when it is first asked for. */
export const testKey = (writer: string): WriterKey => {
  let key = keys.get(writer);
  if (!key) {
    key = readWriterKey(generateWriterKey());
    keys.set(writer, key);
  }
  return key;
};
