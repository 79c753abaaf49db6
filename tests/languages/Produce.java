import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A producer by Apache Kafka's and Apache Avro's own libraries. Arguments: servers, topic. A line of input: schema file, fingerprint
 * (which Avro computes by itself here), key, record as Avro's JSON.
 */
public final class Produce {
  public static void main(String[] arguments) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", arguments[0]);
    settings.put("acks", "all");
    Map<String, Schema> schemas = new HashMap<>();
    int sent = 0;
    ByteArraySerializer bytes = new ByteArraySerializer();
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, bytes, bytes)) {
      BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        String[] parts = line.split("\t");
        Schema schema = schemas.get(parts[0]);
        if (schema == null) {
          schema = new Schema.Parser().parse(new File(parts[0]));
          schemas.put(parts[0], schema);
        }
        GenericRecord record = new GenericDatumReader<GenericRecord>(schema).read(null, DecoderFactory.get().jsonDecoder(schema, parts[3]));
        ByteBuffer message = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(record);
        byte[] value = new byte[message.remaining()];
        message.get(value);
        producer.send(new ProducerRecord<>(arguments[1], parts[2].getBytes(StandardCharsets.UTF_8), value)).get();
        sent++;
      }
    }
    System.out.println(sent);
  }
}
