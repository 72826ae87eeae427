/** Search of a room, in the browser: the index is a script beside this one, loaded when somebody begins to search. */
{
  const SHOWN_MAX = 50;
  const up = document.documentElement.dataset.up ?? '';
  const byId = (name) => document.getElementById(`room:${name}`);
  const [panel, input, told, found] = ['search', 'words', 'told', 'found'].map(byId);
  let loading;

  const fold = (text) => text.normalize('NFC').toLowerCase();

  function load() {
    loading ??= new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = `${up}_room/search-index.js`;
      script.onload = () => {
        resolve(
          globalThis.forebayRoom.map(([title, page, tags, text]) => ({
            title,
            page,
            text,
            inTitle: fold(title),
            inText: fold(text),
            tags: tags.map((tag) => `#${fold(tag)}`),
          })),
        );
      };
      script.onerror = () => reject(new Error('the search index is missing'));
      document.head.append(script);
    });
    return loading;
  }

  /** 0: a word is nowhere; titles count most, then tags. */
  function score(note, words) {
    let sum = 0;
    for (const word of words) {
      const points =
        (note.inTitle.includes(word) ? 10 : 0) +
        (note.tags.some((tag) => tag.includes(word)) ? 5 : 0) +
        (note.inText.includes(word) ? 1 : 0);
      if (points === 0) return 0;
      sum += points;
    }
    return sum;
  }

  function around(note, word) {
    const at = note.inText.indexOf(word);
    if (at < 0) return '';
    const from = Math.max(0, at - 40);
    return `${from > 0 ? '…' : ''}${note.text.slice(from, at + 80)}…`;
  }

  const address = (page) => up + page.split('/').map(encodeURIComponent).join('/');

  function line(note, words) {
    const item = document.createElement('li');
    const link = document.createElement('a');
    link.href = address(note.page);
    link.textContent = note.title;
    const text = document.createElement('span');
    text.className = 'quiet';
    text.textContent = ` ${around(note, words[0])}`;
    item.append(link, text);
    return item;
  }

  async function search() {
    const words = fold(input.value).split(/\s+/).filter(Boolean);
    if (words.length === 0) {
      told.textContent = '';
      found.replaceChildren();
      return;
    }
    const asked = input.value;
    const notes = await load();
    if (input.value !== asked) return;
    const hits = notes
      .map((note) => ({ note, points: score(note, words) }))
      .filter(({ points }) => points > 0)
      .sort((a, b) => b.points - a.points);
    told.textContent =
      hits.length > SHOWN_MAX
        ? `${hits.length} notes, the first ${SHOWN_MAX}`
        : `${hits.length} ${hits.length === 1 ? 'note' : 'notes'}`;
    found.replaceChildren(...hits.slice(0, SHOWN_MAX).map(({ note }) => line(note, words)));
  }

  const tell = (error) => {
    told.textContent = `Search does not work: ${error.message}`;
  };
  panel.hidden = false;
  input.addEventListener('focus', () => load().catch(tell), { once: true });
  input.addEventListener('input', () => search().catch(tell));
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    input.value = '';
    search().catch(tell);
  });
}
