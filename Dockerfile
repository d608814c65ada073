# One image for all services. Which one runs is the command: docker run tradeul up gateway
FROM python:3.12-slim AS built
WORKDIR /build
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY src src
# The lock's versions, without what only tests need.
RUN sed -n 's/^\([^ ]*==.*\) \\$/\1/p' requirements.lock > versions.txt \
    && python -m venv /opt/tradeul \
    && /opt/tradeul/bin/pip install --no-cache-dir --constraint versions.txt .

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home tradeul && install -d -o tradeul /state
COPY --from=built /opt/tradeul /opt/tradeul
ENV PATH=/opt/tradeul/bin:$PATH TRADEUL_STATE=/state PYTHONUNBUFFERED=1
USER tradeul
VOLUME /state
ENTRYPOINT ["tradeul"]
CMD ["up"]
