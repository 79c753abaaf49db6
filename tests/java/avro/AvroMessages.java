import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * Arguments: .avsc files. First a line "fingerprint FILE HEX" for each; then, for each line of hexadecimal on standard
 * input: the message as Avro's BinaryMessageDecoder reads it and as BinaryMessageEncoder writes it again, "NAME HEX JSON".
 */
public final class AvroMessages {
  public static void main(String[] files) throws Exception {
    HexFormat hex = HexFormat.of();
    List<Schema> schemas = new ArrayList<>();
    for (String file : files) {
      Schema schema = new Schema.Parser().parse(new File(file));
      schemas.add(schema);
      System.out.println("fingerprint " + file + " " + hex.toHexDigits(SchemaNormalization.parsingFingerprint64(schema)));
    }
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      byte[] message = hex.parseHex(line);
      for (Schema schema : schemas) {
        long fingerprint = SchemaNormalization.parsingFingerprint64(schema);
        ByteBuffer header = ByteBuffer.wrap(message, 2, 8).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        if (header.getLong() != fingerprint) {
          continue;
        }
        GenericRecord record = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema).decode(message);
        ByteBuffer again = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(record);
        byte[] bytes = new byte[again.remaining()];
        again.get(bytes);
        System.out.println(schema.getName() + " " + hex.formatHex(bytes) + " " + record);
      }
    }
  }
}
