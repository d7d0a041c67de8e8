# Everything that a rule needs. Build: docker build -t fragmodel .
# For a cluster: apptainer build fragmodel.sif docker-daemon:fragmodel:latest
FROM python:3.11-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# MMseqs2 for the search of related sequences. Debian has one version of it a release, hence no pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends mmseqs2 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/fragmodel
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY fragmodel ./fragmodel
# torch first and by its exact version: another package's open range would pull another build.
RUN pip install --no-cache-dir -c constraints.txt torch==2.13.0 \
    && pip install --no-cache-dir -c constraints.txt -e '.[smollm2]'
COPY Snakefile config.yaml environment.yaml ./
COPY workflow ./workflow
COPY rules ./rules
COPY config ./config
COPY workflow_scripts ./workflow_scripts
COPY profiles ./profiles
COPY data ./data

# A run reads and writes in the folder that is mounted here, as an ordinary user: `docker run --user` may be any, who then
# has neither a name nor a home.
ENV HOME=/tmp USER=fragmodel
RUN useradd --uid 1000 fragmodel
USER 1000
WORKDIR /work
ENTRYPOINT []
# An empty folder gets the shipped configuration with its sample, as snakedeploy would put it there, and runs that.
CMD ["sh", "-c", "[ -e config.yaml ] || [ -e config ] || cp -rL /opt/fragmodel/config config; exec snakemake --snakefile /opt/fragmodel/Snakefile --cores all"]
