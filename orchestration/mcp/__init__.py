"""The MCP server: tools, resources and prompts for language models, over stdio and HTTP (docs/mcp.md)."""
