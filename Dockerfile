# The image of docker-compose.yml: the project and its tested dependencies, CPU build of torch.
FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir "$(grep '^torch==' constraints.txt)" --index-url https://download.pytorch.org/whl/cpu
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt --editable ".[kafka,redis,mcp,anthropic,openai,xai,deepseek]" \
  && python -m compileall -q assets ml orchestration sensors streaming trading \
  && useradd --create-home loom && mkdir /data && chown loom /data
USER loom
ENV MARKETLOOM_HOME=/data
CMD ["marketloom", "dev"]
