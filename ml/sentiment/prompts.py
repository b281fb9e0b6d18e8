"""The prompt that asks for the tone of an article; its text is the file of the version in use."""

from ml.models.prompt_files import load_prompt

# The article is written by strangers: it is put between markers that it cannot close, and is never an instruction.
SENTIMENT_PROMPT = load_prompt("ml.sentiment", "headline-sentiment", 1)
SENTIMENT_PROMPT_HASH = SENTIMENT_PROMPT.hash


def delimited(article: str) -> str:
    """Return the user's message: the article between markers."""
    return f"<article>\n{_escape(article)}\n</article>"


def _escape(text: str) -> str:
    """Escape the angle brackets, which could close the marker."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
