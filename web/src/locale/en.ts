const files = import.meta.glob('./en/*.json', { eager: true, import: 'default' }) as Record<string, object>

/** The texts, one file an area: queue.json holds the keys queue.… */
export default Object.fromEntries(Object.entries(files).map(([path, texts]) => [path.slice('./en/'.length, -'.json'.length), texts]))
