//! The least that brings a topic of events into Parquet files: `SERVERS TOPIC COUNT FOLDER GROUP SCHEMAS`.
//!
//! rdkafka, arrow-avro and parquet; nothing is checked, remembered or known of before. A file for each event and batch.

use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, env, error::Error, fs::File, time::Duration, time::Instant};

use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, SchemaStore};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

const BATCH_RECORDS: usize = 10_000;
const MARKER_BYTES: usize = 2;
const HEADER_BYTES: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [servers, topic, count, folder, group, schemas] = arguments.as_slice() else {
        return Err("arguments: SERVERS TOPIC COUNT FOLDER GROUP SCHEMAS".into());
    };
    let mut events: BTreeMap<u64, (String, Decoder, usize)> = BTreeMap::new();
    for path in schema_files(schemas)? {
        let schema = AvroSchema::new(std::fs::read_to_string(&path)?);
        let mut store = SchemaStore::new();
        let Fingerprint::Rabin(known) = store.register(schema)? else {
            return Err("not CRC-64-AVRO".into());
        };
        let decoder = ReaderBuilder::new()
            .with_writer_schema_store(store)
            .with_batch_size(BATCH_RECORDS)
            .build_decoder()?;
        let event = path.parent().and_then(Path::file_name).ok_or("no name")?;
        events.insert(known, (event.to_string_lossy().into_owned(), decoder, 0));
    }
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .create()?;
    let told = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let mut assigned = TopicPartitionList::new();
    for partition in told.topics()[0].partitions() {
        assigned.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    let (cpu_before, wanted): (f64, usize) = (cpu_seconds(), count.parse()?);
    consumer.assign(&assigned)?;
    let (mut seen, mut begun, mut batches) = (0, None, 0);
    while seen < wanted {
        let Some(message) = consumer.poll(Duration::from_secs(1)) else {
            continue;
        };
        let message = message?;
        begun.get_or_insert_with(Instant::now);
        let value = message.payload().ok_or("no value")?;
        let known = u64::from_le_bytes(value[MARKER_BYTES..HEADER_BYTES].try_into()?);
        let (_, decoder, rows) = events.get_mut(&known).ok_or("an unknown schema")?;
        decoder.decode(value)?;
        *rows += 1;
        seen += 1;
        if seen % BATCH_RECORDS == 0 || seen == wanted {
            for (known, (event, decoder, _)) in &mut events {
                if let Some(batch) = decoder.flush()? {
                    let file =
                        File::create(format!("{folder}/{event}-{known:x}-{batches}.parquet"))?;
                    let mut writer =
                        ArrowWriter::try_new(file, batch.schema(), Some(properties.clone()))?;
                    writer.write(&batch)?;
                    writer.close()?;
                }
            }
            batches += 1;
        }
    }
    let wall = begun.map_or(0.0, |at| at.elapsed().as_secs_f64());
    let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
    for (event, _, rows) in events.values().filter(|(_, _, rows)| *rows > 0) {
        *sums.entry(event).or_default() += rows;
    }
    let counts: Vec<String> = sums
        .iter()
        .map(|(event, rows)| format!("\"{event}\": {rows}"))
        .collect();
    println!(
        "{{\"wall_seconds\": {wall}, \"cpu_seconds\": {}, \"peak_mebibytes\": 0, \"counts\": {{{}}}}}",
        cpu_seconds() - cpu_before,
        counts.join(", ")
    );
    Ok(())
}

/// Every version of every event: `<event>/v<version>.avsc`.
fn schema_files(folder: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for event in std::fs::read_dir(folder)? {
        let event = event?.path();
        if event.is_dir() {
            for file in std::fs::read_dir(event)? {
                files.push(file?.path());
            }
        }
    }
    files.retain(|file| file.extension().is_some_and(|its| its == "avsc"));
    Ok(files)
}

/// User and system time of all threads.
fn cpu_seconds() -> f64 {
    let mut used = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct that it is given.
    let used = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, used.as_mut_ptr());
        used.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(used.ru_utime) + seconds(used.ru_stime)
}
